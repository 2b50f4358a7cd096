"""Opening one forward: its document stands afterwards as it has to, or as it was before."""

from collections.abc import Collection, Sequence

from ..errors import (
    AuthenticationFailedError,
    InvalidForwardError,
    MissingRightsError,
    NotMappedError,
    RouterError,
    RouterTimeoutError,
)
from ..model import PortMapping
from ..refusals import conflict
from ..rule_texts import owner_of, rule_id_of
from ..transport import DroppedError, NotConnectedError
from .api import Api, ApiError, Document
from .forwards import (
    id_of,
    is_held_as,
    is_in_the_way,
    is_ours,
    is_tagged,
    overlaps,
    read,
    values_of,
)
from .removal import remove


class Opening:
    """One call of `open`, and what it changed so far."""

    def __init__(
        self, api: Api, wan: str, wanted: PortMapping, ours: Collection[PortMapping]
    ) -> None:
        """Take the mapping that is planned, and what the ledger knows as our own."""
        self._api = api
        self._wan = wan
        self._wanted = wanted
        self._ours = ours
        self._values = values_of(wanted, wan)
        self._disabled: Document = {**self._values, "enabled": False}
        self._owner = owner_of(wanted)
        # Whether the controller may hold a document because of this call and did not before.
        self._may_be_made = False
        self._is_unanswered = False

    async def run(self) -> PortMapping:
        """Make the mapping and return it as read back."""
        documents = await self._api.forwards()
        ours = [row for row in documents if self._is_ours(row)]
        held = next((row for row in ours if is_held_as(row, self._values)), None)
        if held is None:
            self._check_free([row for row in documents if row not in ours])
        for row in ours[1:] if held is None else [row for row in ours if row is not held]:
            await self._api.delete(id_of(row))
        if held is None:
            held = await self._mend(ours[0]) if ours else await self._make()
        return next(made for made in read(held) if made.same_rule(self._wanted))

    def _is_ours(self, row: Document) -> bool:
        """Tell whether a document was made for this forward, and leads where that does or did.

        Somebody may have made another forward of it, tag and all: that is theirs.
        """
        known = [mapping for mapping in self._ours if rule_id_of(mapping) in ("", id_of(row))]
        return any(is_ours(row, mapping) for mapping in (self._wanted, *known))

    def _check_free(self, others: Sequence[Document]) -> None:
        for row in others:
            if is_in_the_way(row, self._wanted, self._wan):
                raise conflict(self._wanted, _describe(row))

    async def _mend(self, row: Document) -> Document:
        """Change our document to what it has to be; if it becomes something else, it goes."""
        try:
            await self._change(row)
            try:
                return await self._held(self._values)
            except NotMappedError:
                await self._api.delete(id_of(row))
                raise
        except NotMappedError:
            raise
        except RouterError as error:
            error.left = (self._wanted,)
            raise

    async def _change(self, row: Document) -> None:
        """Make our document what it has to be, with all its other fields as they are."""
        try:
            await self._api.replace(id_of(row), {**row, **self._values})
        except ApiError as error:
            raise await self._explain(error) from error

    async def _make(self) -> Document:
        """Create the document switched off, read it back, and only then switch it on.

        Software that does not know the limit of the source would let
        everybody in until that is seen.
        """
        try:
            await self._create()
            await self._change(await self._held(self._disabled))
            return await self._held(self._values)
        except RouterError as error:
            if self._may_be_made:
                await self._roll_back(error)
            raise

    async def _create(self) -> None:
        """Create the document. When the connection breaks, look before asking again."""
        try:
            await self._create_once()
        except DroppedError:
            if not any(is_held_as(row, self._disabled) for row in await self._api.forwards()):
                await self._create_once()

    async def _create_once(self) -> None:
        """Ask once; whatever is not a clear no may have been carried out."""
        try:
            # `destination_ips` as the controller's own page sends it with a new one.
            await self._api.create({"log": False, "destination_ips": [], **self._disabled})
        except ApiError as error:
            raise await self._explain(error) from error
        except NotConnectedError, AuthenticationFailedError, MissingRightsError:
            raise
        except RouterError as error:
            self._may_be_made = True
            self._is_unanswered = isinstance(error, RouterTimeoutError)
            raise
        self._may_be_made = True

    async def _held(self, values: Document) -> Document:
        """Return our document, if the controller has made just that of it, and no wider."""
        for row in await self._api.forwards():
            if is_held_as(row, values):
                return row
        raise NotMappedError(port=str(self._wanted.external_ports))

    async def _roll_back(self, error: RouterError) -> None:
        """Take back what this call made; what may still stand is told in `error.left`."""
        try:
            gone = await self._remove_made()
        except RouterError:
            gone = False
            self._is_unanswered = True
        if not gone and self._is_unanswered:
            error.left = (self._wanted,)

    async def _remove_made(self) -> bool:
        """Remove every document with our tag and our ports, whatever else it was made into."""
        made = [
            row
            for row in await self._api.forwards()
            if is_tagged(row, self._owner) and any(overlaps(row, self._wanted, self._wan))
        ]
        for row in made:
            for mapping in read(row):
                await remove(self._api, self._wan, mapping, ours_only=True)
        return bool(made)

    async def _explain(self, error: ApiError) -> RouterError:
        """Return what it means that the controller refuses a document."""
        port = str(self._wanted.external_ports)
        if error.is_overlap:
            rows = await self._api.forwards()
            held = (_describe(row) for row in rows if any(overlaps(row, self._wanted, self._wan)))
            return conflict(self._wanted, next(held, "?"))
        if error.is_invalid:
            host, detail = self._wanted.internal_host, error.placeholders["detail"]
            return InvalidForwardError(port=port, host=host, detail=detail)
        return error


def _describe(row: Document) -> str:
    """Return a forward in the way as the user knows it."""
    return f"{row.get('fwd')}:{row.get('fwd_port')} ({row.get('name')})"
