"""Collect every string that people read, and bring each language's file up to date.

`translations/messages.pot` is made and not kept; `translations/<language>/LC_MESSAGES/messages.po`
are kept and are what a translator edits.
"""

import subprocess
from pathlib import Path

from tools import prepare

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "translations"
LANGUAGES = ("es", "pt_BR")
WORDS = ("_", "gettext", "lazy_gettext", "ngettext:1,2", "lazy_ngettext:1,2", "pgettext:1c,2")


def main() -> None:
    """Extract, merge into each language, compile."""
    FOLDER.mkdir(exist_ok=True)
    template = FOLDER / "messages.pot"
    keywords = [part for word in WORDS for part in ("-k", word)]
    named = ["--project", "Emerge Scheduler", "--sort-by-file", "--no-wrap"]
    source = ["-F", "pyproject.toml", "-o", str(template), "."]
    _pybabel("extract", *named, *keywords, *source)
    for language in LANGUAGES:
        file = FOLDER / language / "LC_MESSAGES" / "messages.po"
        target = ["-i", str(template), "-d", str(FOLDER), "-l", language, "--no-wrap"]
        if file.exists():
            _pybabel("update", "--ignore-pot-creation-date", *target)
        else:
            _pybabel("init", *target)
    template.unlink()
    prepare.compile_translations()


def _pybabel(*arguments: str) -> None:
    command = [str(prepare.ENVIRONMENT / "bin" / "pybabel"), "--quiet", *arguments]
    if subprocess.run(command, cwd=ROOT).returncode:
        raise SystemExit(f"pybabel {arguments[0]} failed; the reason is above.")


if __name__ == "__main__":
    main()
