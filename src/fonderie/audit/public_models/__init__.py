"""Public models described by facts that we collected: one TOML file each, no verdict in any."""

from pathlib import Path

from fonderie.audit.facts import ModelFacts, read_facts

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """What can be asked for."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> ModelFacts:
    """One model's facts."""
    return read_facts(FOLDER / f"{name}.toml")


def load_all() -> list[ModelFacts]:
    """Every model's, by name of file."""
    return [load(name) for name in names()]
