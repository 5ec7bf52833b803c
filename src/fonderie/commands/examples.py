"""How documents are shown on a terminal: examples of what a step did, clusters, texts with their changes marked."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from fonderie.core.digest import short

if TYPE_CHECKING:
    from fonderie.trace.changes import Piece
    from fonderie.trace.clusters import Cluster, Member
    from fonderie.trace.examples import Example

INDENT = 4
_STYLES = {"same": "", "removed": "red strike", "added": "green bold"}
_SIGNS = {"same": ("", ""), "removed": ("[-", "-]"), "added": ("{+", "+}")}
"""As `wdiff` marks words: colours are lost in a file, and not everyone sees them."""
_COMMANDS = dict.fromkeys(
    [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\N{REPLACEMENT CHARACTER}"
)
"""Characters that move a terminal's cursor, colour it, or turn the direction of what follows."""


def visible(text: str) -> str:
    """A document's words on one line, without characters that command a terminal."""
    return " ".join(text.split()).translate(_COMMANDS)


def marked(pieces: "Iterable[Piece]") -> Text:
    """A text with what went and what came, by colour and by sign."""
    shown = Text()
    for piece in pieces:
        before, after = _SIGNS[piece.kind]
        # A line's end stays one: edits often take whole lines.
        words = "\n".join(" ".join(line.split(" ")).translate(_COMMANDS) for line in piece.text.split("\n"))
        shown.append(f"{before}{words}{after}", style=_STYLES[piece.kind])
    return shown


def print_examples(call: str, found: "Sequence[Example]", counts: dict[str, int], screen: Console) -> None:
    """The examples of one call, below how many documents each reason took."""
    fate = found[0].fate
    screen.print(f"\n[bold]{escape(call)}[/bold] {fate} {sum(counts.values()):,} documents", highlight=False)
    for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        screen.print(f"  {count:>9,}  {escape(reason)}", highlight=False)
    colour = "red" if fate == "dropped" else "yellow"
    for example in found:
        said = ": ".join(part for part in (example.reason, example.detail) if part)
        screen.print(f"\n[{colour}]{fate}[/{colour}] {escape(visible(said))}", highlight=False)
        about = [example.licence, example.language, f"{example.size_bytes:,} bytes", short(example.id)]
        screen.print(
            f"  {escape(visible(f'{example.source}: {example.origin}'))}"
            f"  [dim]{escape(', '.join(part for part in about if part))}[/dim]",
            highlight=False,
        )
        screen.print(Padding(_what_it_says(example), (0, 0, 0, INDENT)))


def _what_it_says(example: "Example") -> Text:
    if example.changes:
        return marked(example.changes)
    if example.excerpt is None:
        return Text("its text is in no artifact: it was dropped as it was read", style="dim")
    return Text(visible(example.excerpt), style="italic") if example.excerpt else Text("an empty text", style="dim")


def print_clusters(found: "Sequence[Cluster]", screen: Console) -> None:
    """Clusters of duplicates, the document that stays at the head of each."""
    for cluster in found:
        screen.print(
            f"\n[bold]{escape(cluster.call)}[/bold]  one stays, {cluster.gone:,} went in its favour",
            highlight=False,
        )
        _print_member("[green]kept[/green]   ", cluster.keeper, screen)
        for member in cluster.members:
            _print_member("[red]dropped[/red]", member, screen)
        if cluster.gone > len(cluster.members):
            screen.print(f"  … and {cluster.gone - len(cluster.members):,} more", style="dim", highlight=False)


def _print_member(fate: str, member: "Member", screen: Console) -> None:
    said = ": ".join(part for part in (member.reason, member.detail) if part)
    screen.print(
        f"  {fate} {escape(visible(f'{member.source}: {member.origin}'))} [dim]{short(member.id)}[/dim] "
        f"{escape(visible(said))}",
        highlight=False,
    )
    screen.print(Padding(Text(visible(member.excerpt), style="italic"), (0, 0, 0, INDENT)))
