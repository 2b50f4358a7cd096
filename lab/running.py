"""What is switched on and off, and is on within `async with`."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Running(ABC):
    """Something that runs; it may be stopped and started again within `async with`."""

    @abstractmethod
    async def start(self) -> None:
        """Switch on."""

    @abstractmethod
    async def stop(self) -> None:
        """Switch off; a second time does nothing."""

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        await self.stop()
