"""Fetches one source distribution from the package index that pip is configured for, and does nothing else with it.

    python -I feeds/sdist.py PROJECT FILENAME TARGET

A program of its own, for it uses pip's own finder and session (index, mirrors, proxies, certificates as configured):
`pip download` would install each package's build tools and run its build first, half a minute for what takes a second.
Exit status 3: this pip is built differently, use `pip download`; 4: the index does not have the file. Other failures
leave pip's last words on stderr.
"""

import sys
from pathlib import Path
from typing import Any

NOT_THIS_PIP = 3
NOT_THERE = 4
BYTES_MAX = 64 << 20
_TIMEOUT_S = "20"


def main(project: str, filename: str, target: str) -> int:
    try:
        from pip._internal.commands import create_command

        command: Any = create_command("download")
        words = ["--quiet", "--retries", "1", "--timeout", _TIMEOUT_S, "--no-deps", "--no-binary", ":all:", project]
        options, _ = command.parse_args(words)
        with command.main_context():
            session = command.get_default_session(options)
            finder = command._build_package_finder(options, session)  # noqa: SLF001
            links = [found.link for found in finder.find_all_candidates(project) if found.link.filename == filename]
            if not links:
                return NOT_THERE
            answer = session.get(links[0].url_without_fragment, headers={"Accept-Encoding": "identity"}, stream=True)
            answer.raise_for_status()
            with Path(target).open("wb") as file:
                for chunk in answer.iter_content(1 << 16):
                    file.write(chunk)
                    if file.tell() > BYTES_MAX:
                        raise SystemExit(f"{filename} is larger than {BYTES_MAX} bytes")
    except (ImportError, AttributeError, TypeError):
        return NOT_THIS_PIP
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
