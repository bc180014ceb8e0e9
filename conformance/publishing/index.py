"""The index of the ledger, made of its PRODUCT.json files alone: nobody writes it by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance import formats, schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FILE = "README.md"
ENTRY = "PRODUCT.json"
_NAMED = 12
"""How many requirements that failed a row names; the report names all."""
_SAME = ("outcome", "passed", "failed")
_OPENING = (
    "Each outcome leads to its report. Requirements that failed are named; what was not evaluated "
    "says why, and never counts as passed; *not asked* means that the product is not run on that "
    "profile. `make ledger` writes this page."
)


def entries(folder: Path) -> list[dict[str, Any]]:
    """Return the products of a version of the standard, by name.

    Raises:
        FormatError: an entry does not follow schema ``product``.
    """
    found = []
    for file in sorted(folder.glob(f"*/{ENTRY}")):
        document = schema.load(file)
        formats.check("product", document)
        found.append(document)
    return found


def has_report(product: Mapping[str, Any], profile: str) -> bool:
    """Return whether a report of a product on a profile is published."""
    return any(p["profile"] == profile and "report" in p for p in product["profiles"])


def render(folder: Path) -> str:
    """Return the index of a version of the standard, whose folder has its name, as Markdown."""
    products = entries(folder)
    profiles = list(dict.fromkeys(p["profile"] for one in products for p in one["profiles"]))
    heads = ["product", "version", "device", "precision", *profiles]
    lines = [
        f"# Published reports, standard {folder.name}",
        "",
        _OPENING,
        "",
        _row(heads),
        _row(["---"] * len(heads)),
        *(_row(_cells(one, profiles)) for one in products),
    ]
    pages = [f"[{p}.html]({p}.html)" for p in profiles if (folder / f"{p}.html").is_file()]
    if pages:
        told = "All candidates side by side, and how far they are apart"
        lines += ["", f"{told}: {', '.join(pages)}."]
    return "\n".join(lines) + "\n"


def _cells(product: Mapping[str, Any], profiles: Sequence[str]) -> list[str]:
    info = product.get("candidate", {})
    found = {one["profile"]: one for one in product["profiles"]}
    asked = f"`{product['asked_for']}`"
    asked += f" against `{product['against']}`" if "against" in product else ""
    name = f"[{product['title']}]({product['product']}/{ENTRY}), {asked}"
    precision = info.get("claims", {}).get("precision", "")
    told = [_told(product["product"], found.get(profile)) for profile in profiles]
    return [name, info.get("version", ""), info.get("device", ""), precision, *told]


def _told(name: str, profile: Mapping[str, Any] | None) -> str:
    if profile is None:
        return "not asked"
    if "not_evaluated" in profile:
        return f"not evaluated: {profile['not_evaluated']}"
    page = profile["report"].replace("report.json", "report.html")
    score = f"{profile['passed']} of {profile['applicable']} passed"
    listed = profile["failed"][:_NAMED]
    more = len(profile["failed"]) - len(listed)
    failed = f"; failed: {', '.join(listed)}" if listed else ""
    failed += f" and {more} more" if more else ""
    return f"[{profile['outcome']}]({name}/{page}), {score}{failed}{_again(profile)}"


def _again(profile: Mapping[str, Any]) -> str:
    """Return what further seeds said: that it was the same, or what was not."""
    further = profile.get("further", [])
    same = [one for one in further if all(one[key] == profile[key] for key in _SAME)]
    seeds = "seed" if len(same) == 1 else "seeds"
    told = f"; the same with {len(same)} further {seeds}" if same else ""
    for one in (one for one in further if one not in same):
        failed = ", ".join(one["failed"][:_NAMED]) or "nothing"
        told += f"; with seed {one['seed']} {one['outcome']}, failed: {failed}"
    return told


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
