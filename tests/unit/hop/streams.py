"""Random output of terminal programs, for hypothesis: text, controls and sequences, complete."""

from __future__ import annotations

from hypothesis import strategies as st

_NUMBER = st.integers(0, 14)
_TEXT = st.text("abc xyz-é漢字e\u0301🙂", min_size=1, max_size=12)
_SGR = st.lists(
    st.sampled_from(
        [
            "0",
            "1",
            "2",
            "4",
            "7",
            "22",
            "24",
            "27",
            "31",
            "42",
            "97",
            "39",
            "49",
            "38;5;200",
            "48;2;1;2;3",
            "38:2::9:8:7",
            "4:3",
            "58;5;3",
            "59",
            "",
        ]
    ),
    min_size=1,
    max_size=4,
).map(lambda words: f"\x1b[{';'.join(words)}m")
_MOVE = st.tuples(_NUMBER, _NUMBER).map(lambda p: f"\x1b[{p[0]};{p[1]}H")
_CSI = st.tuples(_NUMBER, st.sampled_from("ABCDEFGd@PXLMST")).map(lambda p: f"\x1b[{p[0]}{p[1]}")
_ERASE = st.sampled_from(["\x1b[J", "\x1b[1J", "\x1b[2J", "\x1b[K", "\x1b[1K", "\x1b[2K"])
_CONTROL = st.sampled_from(["\r", "\n", "\r\n", "\b", "\t", "\x1bM", "\x1bD", "\x1bE"])
_MARGINS = st.tuples(st.integers(1, 6), st.integers(2, 9)).map(lambda p: f"\x1b[{p[0]};{p[1]}r")
_SAVE = st.sampled_from(["\x1b7", "\x1b8"])
_MODE = st.sampled_from(
    [
        f"\x1b{mode}"
        for mode in (
            "[?7l",
            "[?7h",
            "[4h",
            "[4l",
            "[?25l",
            "[?25h",
            "[?1049h",
            "[?1049l",
            "[?6h",
            "[?6l",
            "(0",
            "(B",
            "[?1000h",
            "[?2004h",
        )
    ]
)
_STRING = st.sampled_from(["\x1b]0;title\x07", "\x1b]52;c;YQ==\x1b\\", "\x1bP+q544e\x1b\\"])

STREAMS = st.lists(
    st.one_of(_TEXT, _TEXT, _SGR, _MOVE, _CSI, _ERASE, _CONTROL, _MARGINS, _SAVE, _MODE, _STRING),
    max_size=40,
).map(lambda parts: "".join(parts).encode())
