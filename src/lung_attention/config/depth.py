"""How deep a YAML text goes, told before a reader is given it.

The quick readers call themselves once a level, without a bound: a deep text would end the process.
"""

from __future__ import annotations

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

MOST_LEVELS = 100


def is_too_deep(text: str | bytes) -> bool:
    """Whether lists and mappings of a text stand in each other on more than `MOST_LEVELS` levels.

    What is no YAML is as deep as it goes up to there; whoever reads it says what is wrong.
    """
    level = 0
    try:
        for event in YAML(typ="safe").parse(text):  # one after the other, so that nothing deep is ever held
            level += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if level > MOST_LEVELS:
                return True
    except (YAMLError, ValueError):
        pass
    return False
