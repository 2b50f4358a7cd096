"""UCI: packages of sections with options, and the changes of a session to them.

Names of anonymous sections are made anew whenever a package is read: they
count the sections before them, so that deleting one renames those after it.
"""

import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field

type Value = str | list[str]
type Change = tuple[str, ...]
"""As `uci changes` shows it: what is done, section, and option and value where it has them."""

_NAME = re.compile(r"[A-Za-z0-9_]+")
# libuci hashes the type into the name of an anonymous section; as seen on real routers.
_HASHES = {
    "defaults": "e63d",
    "zone": "dc81",
    "forwarding": "ad58",
    "rule": "92bd",
    "redirect": "3837",
    "system": "e48a",
}


class NotFoundError(Exception):
    """There is no such section or option (ubus status 4)."""


class InvalidError(Exception):
    """No name for a section or an option, or no value (ubus status 2)."""


@dataclass(slots=True, kw_only=True)
class Section:
    """One section; `name` of an anonymous one is made up."""

    type: str
    name: str
    anonymous: bool = False
    options: dict[str, Value] = field(default_factory=dict)

    def text(self, option: str, default: str = "") -> str:
        """Return the value of an option; of a list its items in a row."""
        value = self.options.get(option, default)
        return value if isinstance(value, str) else " ".join(value)


class Package:
    """One file of /etc/config, or a session's view of it."""

    def __init__(self, sections: Iterable[Section] = ()) -> None:
        """Take the sections in their order."""
        self.sections = list(sections)
        self.renumber()

    def copy(self) -> Package:
        """Return one that can be changed without this one."""
        copied = Package()
        copied.sections = deepcopy(self.sections)
        return copied

    def renumber(self) -> None:
        """Name the anonymous sections as reading the file does."""
        for index, section in enumerate(self.sections):
            if section.anonymous:
                section.name = f"cfg{index + 1:02x}{_HASHES.get(section.type, '1234')}"

    def find(self, name: str) -> Section | None:
        """Return the section of that name."""
        return next((section for section in self.sections if section.name == name), None)

    def section(self, name: str) -> Section:
        """Return the section of that name, or raise NotFoundError."""
        if (section := self.find(name)) is None:
            raise NotFoundError(name)
        return section

    def next_name(self, kind: str) -> str:
        """Return what an anonymous section is called that is added now."""
        return f"cfg{len(self.sections) + 1:02x}{_HASHES.get(kind, '1234')}"

    def apply(self, change: Change) -> None:  # noqa: C901  one case for each kind
        """Make one change; what it is about may have gone meanwhile, which is no error."""
        match change:
            case ("add", name, kind):
                self.sections.append(Section(type=kind, name=name, anonymous=True))
            case ("set", name, kind):
                if self.find(name) is None:
                    self.sections.append(Section(type=kind, name=name))
            case ("set", name, option, value):
                self._options(name)[option] = value
            case ("list-add", name, option, value):
                items = self._options(name).setdefault(option, [])
                self._options(name)[option] = [*_as_list(items), value]
            case ("remove", name):
                self.sections = [s for s in self.sections if s.name != name]
            case ("remove", name, option):
                self._options(name).pop(option, None)
            case ("rename", name, new):
                if section := self.find(name):
                    section.name, section.anonymous = new, False
            case ("order", name, index):
                if section := self.find(name):
                    self.sections.remove(section)
                    self.sections.insert(int(index), section)

    def _options(self, name: str) -> dict[str, Value]:
        section = self.find(name)
        return section.options if section else {}


class Delta:
    """The changes of one session to one package that nobody else sees yet."""

    def __init__(self, package: Package) -> None:
        """Begin without any, on top of the package as it is now."""
        self._package = package
        self.changes: list[Change] = []

    @property
    def view(self) -> Package:
        """The package as the session sees it."""
        view = self._package.copy()
        for change in self.changes:
            view.apply(change)
        return view

    def add(self, kind: str, name: str | None, values: Mapping[str, object]) -> str:
        """Add a section and return its name; one of that name is merged into."""
        _check_names(*([name] if name else []), kind, *values)
        if name is None:
            name = self.view.next_name(kind)
            self.changes.append(("add", name, kind))
        elif self.view.find(name) is None:
            self.changes.append(("set", name, kind))
        self.set(name, values)
        return name

    def set(self, name: str, values: Mapping[str, object]) -> None:
        """Set options; a value that is there already is no change."""
        _check_names(name, *values)
        section = self.view.section(name)
        for option, value in values.items():
            wanted = _stored(value)
            if section.options.get(option) == wanted:
                continue
            if isinstance(wanted, str):
                self.changes.append(("set", name, option, wanted))
                continue
            if option in section.options:
                self.changes.append(("remove", name, option))
            self.changes += [("list-add", name, option, item) for item in wanted]

    def delete(self, name: str, options: Iterable[str] = ()) -> None:
        """Delete a section, or some of its options."""
        section = self.view.section(name)
        options = list(options)
        for option in options:
            if option not in section.options:
                raise NotFoundError(option)
            self.changes.append(("remove", name, option))
        if not options:
            self.changes.append(("remove", name))

    def rename(self, name: str, new: str) -> None:
        """Give a section another name."""
        _check_names(new)
        self.view.section(name)
        self.changes.append(("rename", name, new))

    def order(self, names: Iterable[str]) -> None:
        """Put sections first, in this order."""
        for index, name in enumerate(names):
            self.view.section(name)
            self.changes.append(("order", name, str(index)))


def matches(section: Section, match: Mapping[str, object]) -> bool:
    """Tell whether a section has these values, compared as rpcd does.

    It splits what is stored at spaces and compares the parts, so that a value
    with a space never matches.
    """
    for option, wanted in match.items():
        value = section.options.get(option)
        if value is None:
            return False
        parts = value.split() if isinstance(value, str) else value
        if parts != _as_list(_stored(wanted)):
            return False
    return True


def _stored(value: object) -> Value:
    """Everything is text, or a list of it."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, list):
        return [str(_stored(item)) for item in value]
    if isinstance(value, (str, int)):
        return str(value)
    raise InvalidError("no value")


def _as_list(value: Value) -> list[str]:
    return [value] if isinstance(value, str) else value


def _check_names(*names: str) -> None:
    for name in names:
        if not _NAME.fullmatch(name):
            raise InvalidError(name)
