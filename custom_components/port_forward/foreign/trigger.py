"""The triggers: somebody else has opened a port on a router, or it is closed again."""

from typing import override

from homeassistant.const import ATTR_CONFIG_ENTRY_ID, ATTR_ENTITY_ID
from homeassistant.core import CALLBACK_TYPE, callback
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.trigger import TriggerActionRunner, TriggerNotTriggeredReporter

from ..target_trigger import TargetTrigger
from .sightings import (
    SIGNAL_SIGHTING,
    Sighting,
    SightingKind,
    async_event_of,
    details_of_sighting,
)


class SightingTrigger(TargetTrigger):
    """Triggers on one kind of change of what others have open on a router.

    Every entity of the router itself stands for it, and so do its device and
    its area; its forwards do not.
    """

    _kind: SightingKind

    @override
    async def async_attach_runner(
        self,
        run_action: TriggerActionRunner,
        did_not_trigger: TriggerNotTriggeredReporter | None = None,
    ) -> CALLBACK_TYPE:
        """Run the action whenever it happens."""

        @callback
        def on_sighting(entry_id: str, sighting: Sighting) -> None:
            if sighting.kind is not self._kind or not self._is_meant(entry_id):
                return
            entity_id = async_event_of(self._hass, entry_id)
            entry = self._hass.config_entries.async_get_entry(entry_id)
            run_action(
                {
                    ATTR_ENTITY_ID: entity_id,
                    ATTR_CONFIG_ENTRY_ID: entry_id,
                    "router": entry.title if entry else None,
                    **details_of_sighting(sighting),
                },
                f"{self._kind} at {entity_id}",
            )

        return async_dispatcher_connect(self._hass, SIGNAL_SIGHTING, on_sighting)

    @callback
    def _is_meant(self, entry_id: str) -> bool:
        registry = er.async_get(self._hass)
        return any(
            (entity := registry.async_get(entity_id))
            and entity.config_entry_id == entry_id
            and entity.config_subentry_id is None
            for entity_id in self._meant()
        )


class ForeignMappingAppearedTrigger(SightingTrigger):
    """Somebody else has opened a port on a router."""

    _kind = SightingKind.APPEARED


class ForeignMappingDisappearedTrigger(SightingTrigger):
    """A port that somebody else had opened, and nobody had accepted, is closed."""

    _kind = SightingKind.DISAPPEARED
