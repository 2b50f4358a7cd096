"""Short commands."""

import asyncio


async def run(*command: str, stdin: str = "") -> str:
    """Run a command and return its standard output.

    Raises CommandFailedError with what it printed when it ends with an error.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await process.communicate(stdin.encode())
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        printed = (output + errors).decode(errors="replace").strip()
        raise CommandFailedError(f"{' '.join(command)} failed:\n{printed}")
    return output.decode(errors="replace")


class CommandFailedError(Exception):
    """A command ended with an error; the text holds what it printed."""
