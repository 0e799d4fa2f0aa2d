"""`python -m tests.census`: write docs/coverage.md anew."""

from __future__ import annotations

from tests.census import coverage


def main() -> None:
    coverage.FILE.write_text(coverage.document(), encoding="utf-8")
    print(f"wrote {coverage.FILE}")


if __name__ == "__main__":
    main()
