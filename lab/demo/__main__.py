"""Run the demo; `scripts/demo` prepares the environment and calls this."""

import signal
import sys

# Until there is something to stop in good order, Ctrl-C just ends this process.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from .run import main  # noqa: E402  takes the second in which that matters

sys.exit(main())
