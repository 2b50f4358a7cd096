"""The switches: that of a forward is on while the router holds its port mapping; and lockdown."""

from typing import Any, Final, override

from homeassistant.components.switch import SwitchEntity
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import CONF_ADMINS_ONLY, DOMAIN
from .coordinator import PortForwardConfigEntry
from .entity import ForwardEntity, RouterEntity, async_add_for_forwards, translated_errors
from .forwards import ForwardSettings
from .safety.disabled import async_is_disabled
from .safety.exposure import async_guard_exposure
from .safety.rights import async_check_may_open, async_is_for_admins
from .safety.risk import async_is_on_router, risks_of

# Not one after the other, or closing would wait for what is being opened. The queue
# of the router sees to it that there is one request at a time (`routers/queue.py`).
PARALLEL_UPDATES = 0

# In the options of the lockdown switch in the entity registry: it has got its alias.
_NAMED: Final = "named"


async def async_setup_entry(
    hass: HomeAssistant,
    entry: PortForwardConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the one of the router and one for each forward."""
    async_add_entities([LockdownSwitch(entry.runtime_data, "lockdown")])
    await async_add_for_forwards(
        entry,
        async_add_entities,
        lambda subentry: [ForwardSwitch(entry.runtime_data, subentry, "switch")],
    )


class ForwardSwitch(ForwardEntity, SwitchEntity):
    """Opens and closes one forward."""

    _attr_name = None
    _attr_translation_key = "forward"

    @override
    async def async_added_to_hass(self) -> None:
        """Keep what is risky, or for administrators alone, from voice assistants."""
        await super().async_added_to_hass()
        coordinator = self.coordinator
        entry = coordinator.config_entry
        settings = ForwardSettings.from_input(entry.subentries[self._forward_id].data)
        forward = coordinator.forwards.get(self._forward_id)
        on_router = await async_is_on_router(
            settings, forward.internal_host if forward else None, coordinator.router_address
        )
        risks = risks_of(settings, self.hass.config.api, on_router=on_router)
        keys = [risk.key for risk in risks]
        if async_is_for_admins(entry, self._forward_id):
            keys.append(CONF_ADMINS_ONLY)
        async_guard_exposure(self.hass, self.entity_id, keys)

    @property
    @override
    def available(self) -> bool:
        """Tell whether the state is known: of a router that lists nothing, by its renewals."""
        return super().available and self.coordinator.keeper.is_sure(self._forward_id)

    @property
    @override
    def is_on(self) -> bool:
        """Tell what the router holds, not what was last asked."""
        return self.coordinator.async_is_open(self._forward_id)

    @override
    async def async_will_remove_from_hass(self) -> None:
        """Tell of what is open and cannot be switched off here any more, if it is disabled."""
        await super().async_will_remove_from_hass()
        if async_is_disabled(self.hass, self._forward_id):
            self.coordinator.async_report()

    @override
    async def async_turn_on(self, **kwargs: Any) -> None:
        """Open the forward for as long as it is set to; what is open for longer stays so."""
        with translated_errors():
            await self.coordinator.async_open(
                self._forward_id, by=self._context, never_shorter=True
            )

    @override
    async def async_turn_off(self, **kwargs: Any) -> None:
        """Close the forward."""
        with translated_errors():
            await self.coordinator.async_close(self._forward_id, by=self._context)


class LockdownSwitch(RouterEntity, SwitchEntity):
    """Closes everything of ours on one router, and keeps it closed until it is off."""

    _attr_translation_key = "lockdown"

    @override
    async def async_added_to_hass(self) -> None:
        """Let it be called by its name alone."""
        await super().async_added_to_hass()
        registry = er.async_get(self.hass)
        entity = registry.entities[self.entity_id]
        # Once: whoever takes the alias away does not want it.
        if not entity.options.get(DOMAIN) and entity.original_name:
            registry.async_update_entity(
                self.entity_id, aliases=[*entity.aliases, entity.original_name]
            )
            registry.async_update_entity_options(self.entity_id, DOMAIN, {_NAMED: True})

    @property
    @override
    def available(self) -> bool:
        """Tell that it can be used while the router is away: what cannot be closed now is later."""
        return True

    @property
    @override
    def is_on(self) -> bool:
        """Tell whether nothing can be opened."""
        return self.coordinator.keeper.is_locked

    @override
    async def async_turn_on(self, **kwargs: Any) -> None:
        """Close everything, and open nothing from now on."""
        with translated_errors():
            await self.coordinator.keeper.lock(self.coordinator.forwards, by=self._context)

    @override
    async def async_turn_off(self, **kwargs: Any) -> None:
        """Let forwards be opened again, by who may open them."""
        entry = self.coordinator.config_entry
        await async_check_may_open(self.hass, entry, None, self._context)
        await self.coordinator.keeper.unlock()
