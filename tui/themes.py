"""Four themes: dark for the scanner room, light for the office, high contrast, and no colour."""

from textual.theme import Theme

DARK = Theme(
    name="coverslip-dark",
    primary="#7cc7c3",
    secondary="#8ab4f8",
    accent="#8ab4f8",
    success="#86c98a",
    warning="#e8b964",
    error="#f2777a",
    foreground="#d7dee6",
    background="#0f151b",
    surface="#131b23",
    panel="#1b2630",
    boost="#22303c",
    dark=True,
    variables={
        "text-primary": "#7cc7c3",
        "text-success": "#86c98a",
        "text-warning": "#e8b964",
        "text-error": "#f2777a",
        "text-muted": "#8795a3",
        "footer-key-foreground": "#7cc7c3",
        "footer-background": "#131b23",
        "border": "#7cc7c3",
        "border-blurred": "#2c3a47",
        "row-cursor": "#22323e",
    },
)

LIGHT = Theme(
    name="coverslip-light",
    primary="#00696b",
    secondary="#2b5fa8",
    accent="#2b5fa8",
    success="#1f7a34",
    warning="#8a5200",
    error="#b3261e",
    foreground="#1b232a",
    background="#f5f7f8",
    surface="#ffffff",
    panel="#e6ebee",
    boost="#dce4e8",
    dark=False,
    variables={
        "text-primary": "#00696b",
        "text-success": "#1f7a34",
        "text-warning": "#8a5200",
        "text-error": "#b3261e",
        "text-muted": "#5d6a75",
        "footer-key-foreground": "#00696b",
        "footer-background": "#e6ebee",
        "border": "#00696b",
        "border-blurred": "#c3ccd3",
        "row-cursor": "#d5e6e7",
    },
)

CONTRAST = Theme(
    name="coverslip-contrast",
    primary="#00e5ff",
    secondary="#ffffff",
    accent="#ffff00",
    success="#5dff7f",
    warning="#ffe100",
    error="#ff8080",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#000000",
    boost="#000000",
    dark=True,
    text_alpha=1.0,
    variables={
        "text-primary": "#00e5ff",
        "text-success": "#5dff7f",
        "text-warning": "#ffe100",
        "text-error": "#ff8080",
        "text-muted": "#e0e0e0",
        "footer-key-foreground": "#ffff00",
        "footer-background": "#000000",
        "border": "#ffff00",
        "border-blurred": "#ffffff",
        "row-cursor": "#00405a",
    },
)

GREY = Theme(
    name="coverslip-grey",
    primary="#e4e4e4",
    secondary="#c6c6c6",
    accent="#ffffff",
    success="#b2b2b2",
    warning="#dadada",
    error="#ffffff",
    foreground="#d0d0d0",
    background="#121212",
    surface="#1c1c1c",
    panel="#262626",
    boost="#303030",
    dark=True,
    variables={
        "text-primary": "#e4e4e4",
        "text-success": "#b2b2b2",
        "text-warning": "#dadada",
        "text-error": "#ffffff",
        "text-muted": "#949494",
        "footer-key-foreground": "#ffffff",
        "footer-background": "#1c1c1c",
        "border": "#ffffff",
        "border-blurred": "#4e4e4e",
        "row-cursor": "#3a3a3a",
    },
)
"""For NO_COLOR, and for who sees colours otherwise: glyphs and words alone carry the meaning."""

SHORT_NAMES = {"dark": DARK, "light": LIGHT, "contrast": CONTRAST, "grey": GREY}
"""What people call them."""

THEMES = tuple(SHORT_NAMES.values())


def next_theme(name: str) -> Theme:
    """Give the theme after the one of this name; the first after any other."""
    names = [theme.name for theme in THEMES]
    place = names.index(name) + 1 if name in names else 0
    return THEMES[place % len(THEMES)]


def short_name(name: str) -> str:
    """Give what people call a theme."""
    return next((short for short, theme in SHORT_NAMES.items() if theme.name == name), "")
