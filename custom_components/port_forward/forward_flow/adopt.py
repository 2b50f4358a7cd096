"""The steps of the flow by which an existing rule of the router becomes a forward."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import voluptuous as vol
from homeassistant.config_entries import ConfigEntryState, ConfigSubentry, SubentryFlowResult
from homeassistant.const import CONF_NAME
from homeassistant.helpers.selector import SelectOptionDict, SelectSelector, SelectSelectorConfig

from ..adoption import async_labels, default_name, describe
from ..automatic.causes import check_cause
from ..automatic.idle import check_idle
from ..const import CONF_ADOPTED, SUBENTRY_TYPE_FORWARD
from ..forwards import FieldError, ForwardSettings, check_free, check_name
from ..kept_mapping import mapping_from_json, mapping_to_json
from ..routers.model import PortMapping
from ..routers.router import Router
from ..routers.shown import code
from ..runtime import make_router
from .confirm import ConfirmingSubentryFlow
from .form import ADOPTED_SCHEMA, errors_at, from_form, title_and_data, to_form, unfolded

_CONF_RULE = "rule"


class AdoptingSubentryFlow(ConfirmingSubentryFlow):
    """Offers the rules that there are. Nothing is changed on the router."""

    _rules: Mapping[str, PortMapping]
    """The rules of the router that can be adopted, by their keys in the form."""
    _rule: PortMapping
    """The one that was chosen."""

    async def async_step_choose(self, _: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Ask which of the two it is to be."""
        return self.async_show_menu(step_id="choose", menu_options=["new", "adopt"])

    async def async_step_adopt(
        self, user_input: dict[str, Any] | None = None
    ) -> SubentryFlowResult:
        """Ask which rule to adopt."""
        errors: dict[str, str] = {}
        placeholders: Mapping[str, str] = {}
        if user_input is not None:
            self._rule = self._rules[user_input[_CONF_RULE]]
            errors, placeholders = self._check_adopted({CONF_ADOPTED: mapping_to_json(self._rule)})
            if not errors:
                return await self.async_step_adopt_as()
        labels = await async_labels(self.hass, self._rules)
        options = [SelectOptionDict(value=key, label=label) for key, label in labels.items()]
        schema = {vol.Required(_CONF_RULE): SelectSelector(SelectSelectorConfig(options=options))}
        return self.async_show_form(
            step_id="adopt",
            data_schema=vol.Schema(schema),
            errors=errors,
            description_placeholders=placeholders,
        )

    async def async_step_adopt_as(
        self, user_input: dict[str, Any] | None = None
    ) -> SubentryFlowResult:
        """Ask for the name and the times of a rule that is adopted. The router is not changed."""
        name = default_name(self._rule)
        adopted = {CONF_ADOPTED: mapping_to_json(self._rule)}
        return await self._async_step_adopted(
            "adopt_as", user_input, {CONF_NAME: name}, adopted, self.async_create_entry
        )

    async def async_step_reconfigure_adopted(
        self, user_input: dict[str, Any] | None = None
    ) -> SubentryFlowResult:
        """Edit the name and the times of an adopted rule; all else is edited at the router."""
        subentry = self._get_reconfigure_subentry()
        shown = {CONF_NAME: subentry.title, **subentry.data}
        adopted = {CONF_ADOPTED: subentry.data[CONF_ADOPTED]}
        update = partial(self.async_update_and_abort, self._get_entry(), subentry)
        return await self._async_step_adopted(
            "reconfigure_adopted", user_input, shown, adopted, update
        )

    async def _async_step_adopted(
        self,
        step_id: str,
        user_input: dict[str, Any] | None,
        shown: Mapping[str, Any],
        adopted: Mapping[str, Any],
        finish: Callable[..., SubentryFlowResult],
    ) -> SubentryFlowResult:
        """Show the form of an adopted rule, or `finish` with the title and the data."""
        rule = code(describe(mapping_from_json(adopted[CONF_ADOPTED])))

        def show(
            values: Mapping[str, Any], errors: dict[str, str], placeholders: Mapping[str, str]
        ) -> SubentryFlowResult:
            return self.async_show_form(
                step_id=step_id,
                data_schema=self.add_suggested_values_to_schema(
                    unfolded(ADOPTED_SCHEMA, errors), to_form(values)
                ),
                errors=errors_at(errors),
                description_placeholders={**placeholders, "rule": rule},
            )

        async def submit(values: dict[str, Any]) -> SubentryFlowResult:
            errors, placeholders = self._check_adopted(values)
            if errors:
                return show(values, errors, placeholders)
            if ask := await self._async_ask(values, submit):
                return ask
            return finish(**title_and_data(values))

        if user_input is None:
            return show(shown, {}, {})
        return await submit({**from_form(user_input), **adopted})

    def _check_adopted(self, data: Mapping[str, Any]) -> tuple[dict[str, str], Mapping[str, str]]:
        """Return the errors of an adopted rule, and the placeholders of their texts."""
        try:
            if CONF_NAME in data:
                check_name(data[CONF_NAME])
            check_free(ForwardSettings.from_input(data), self._others())
            check_idle(data, self._router().capabilities)
            check_cause(self.hass, data, self._router().capabilities)
        except FieldError as error:
            return {error.field: error.key}, error.placeholders
        return {}, {}

    def _router(self) -> Router:
        """Return the driver. Of a loaded entry it knows what the router can do."""
        entry = self._get_entry()
        loaded = entry.state is ConfigEntryState.LOADED
        return entry.runtime_data.router if loaded else make_router(self.hass, entry, {})

    def _others(self) -> Iterator[ConfigSubentry]:
        """Iterate over all forwards but the one that is being edited."""
        edited = self.context.get("subentry_id")
        for subentry in self._get_entry().get_subentries_of_type(SUBENTRY_TYPE_FORWARD):
            if subentry.subentry_id != edited:
                yield subentry
