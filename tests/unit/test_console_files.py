"""The console's files: readable colours, no way for data to become markup, nothing from elsewhere."""

from __future__ import annotations

import re
from itertools import product

import pytest

from node.api.console_pages import console_files

FILES = {name: content.decode() for name, (_, content) in console_files().items()}
SCRIPTS = sorted(name for name in FILES if name.endswith(".js"))

#: Text and ground of WCAG 2.2, 1.4.3 (4.5 to 1), as the style sheet pairs them.
TEXT_ON_GROUND = [
    *product(("text", "muted", "accent"), ("ground", "panel", "raised")),
    *product(("good", "fair", "bad", "busy"), ("ground", "panel")),
    ("on-accent", "accent"),
    ("on-bad", "bad-fill"),
    ("good", "good-soft"),
    ("fair", "fair-soft"),
    ("bad", "bad-soft"),
    ("busy", "busy-soft"),
    ("accent", "busy-soft"),
    ("text", "bad-soft"),
    ("text", "busy-soft"),
]
#: Edges of controls, the focus, bars and dots: 1.4.11 and 2.4.13 (3 to 1).
EDGE_ON_GROUND = [*product(("control", "accent", "bad-fill", "fair"), ("ground", "panel"))]


def palette(scheme: str) -> dict[str, str]:
    """The colours by name: the dark ones lie over the light ones."""
    light, dark = re.findall(r":root \{(.*?)\}", FILES["console.css"], re.DOTALL)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", light))
    if scheme == "dark":
        colours |= dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", dark))
    return colours


def luminance(colour: str) -> float:
    """Relative, as WCAG defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """From 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_the_yardstick_is_right() -> None:
    """Known figures."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), TEXT_ON_GROUND)
def test_text_is_readable_on_its_ground(scheme: str, text: str, ground: str) -> None:
    """Level AA."""
    colours = palette(scheme)
    assert contrast(colours[text], colours[ground]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("edge", "ground"), EDGE_ON_GROUND)
def test_controls_stand_out_from_their_ground(scheme: str, edge: str, ground: str) -> None:
    """Also for who sees colours differently."""
    colours = palette(scheme)
    assert contrast(colours[edge], colours[ground]) >= 3


def test_no_colour_is_named_outside_the_palette() -> None:
    """So that the figures above hold for all of it; shadows and the veil behind a dialog carry no text."""
    outside = re.sub(r":root \{.*?\}", "", FILES["console.css"], flags=re.DOTALL)
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b", outside) == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_data_never_becomes_markup_or_code(name: str) -> None:
    """Names, reasons and an exchange's words may be hostile."""
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|srcdoc|\beval\(|new Function|\.cssText"
    )
    assert re.findall(forbidden, FILES[name]) == []
    assert (
        re.findall(r"\bstyle:|setAttribute\(\"style\"|localStorage|sessionStorage|document\.cookie", FILES[name]) == []
    )


@pytest.mark.parametrize("name", sorted(FILES))
def test_nothing_comes_from_elsewhere(name: str) -> None:
    """No address but our own; the namespace of drawings is a name, not an address."""
    found = re.findall(r"(?:https?:)?//[a-z0-9][a-z0-9.-]+\.[a-z]{2,}", FILES[name])
    assert set(found) <= {"http://www.w3.org"}


def test_the_page_has_nothing_inline() -> None:
    """The policy would refuse it."""
    page = FILES["index.html"]
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\son[a-z]+=|\sstyle=|javascript:", page) == []
    assert {
        address for address in re.findall(r'(?:src|href)="([^"#]+)"', page) if not address.startswith("/console/")
    } == set()


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_module_that_is_asked_for_is_there(name: str) -> None:
    """Under its own name, since nothing is built."""
    asked = re.findall(r'from "\./([^"]+)"', FILES[name])
    assert set(asked) <= set(SCRIPTS)
