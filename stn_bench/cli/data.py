"""The command `stn-data`: fetch the files of MNIST, verify them, say where they are, draw distorted digits."""

import argparse
import logging
import sys
from collections.abc import Sequence

from stn_bench.cli.reader import ends_with_its_reader
from stn_bench.data import mnist, sources


@ends_with_its_reader
def main(argv: Sequence[str] | None = None) -> int:
    """Run `stn-data`; returns the exit code: 0, or 1 where files are not right or something could not be done."""
    options = _options(_parser(), argv)
    logging.basicConfig(format="stn-data: %(message)s")
    logging.getLogger("stn_bench").setLevel(logging.INFO)
    try:
        return options.run(options)
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        print(f"stn-data: {error}", file=sys.stderr)
        return 1


def _options(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    options, rest = parser.parse_known_args(argv)  # which leaves words that stand apart from the first ones
    if rest and ("words" not in options or any(word.startswith("-") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        options.words += rest
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stn-data",
        description="The MNIST files that experiments read. They are in $STN_DATA_DIR/mnist, "
        "or in the user's cache folder if that variable is not set.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    fetch = commands.add_parser(
        "fetch", help="fetch what is missing or damaged; print the folder and who gave each file"
    )
    fetch.set_defaults(run=_fetch)

    verify = commands.add_parser("verify", help="print a line per file; exit 1 unless all are right")
    verify.set_defaults(run=_verify)

    path = commands.add_parser("path", help="print the folder")
    path.set_defaults(run=_path)

    preview = commands.add_parser("preview", help="draw distorted digits, a row per data set, into a PNG file")
    preview.add_argument("--output", default="preview.png", metavar="FILE", help="default: %(default)s")
    preview.add_argument("--sets", default="r,rts,p,e", metavar="NAMES", help="data sets, default: %(default)s")
    preview.add_argument("--count", default=12, type=int, metavar="N", help="digits of each, default: %(default)s")
    preview.add_argument("--seed", default=1, type=int, metavar="N", help="of the distortions, default: %(default)s")
    preview.add_argument("--config-dir", metavar="FOLDER", help="of configs of your own, as for stn-train")
    preview.add_argument("words", nargs="*", metavar="KEY=VALUE", help="a key of these data sets, as for stn-train")
    preview.set_defaults(run=_preview)
    return parser


def _fetch(_options: argparse.Namespace) -> int:
    folder = mnist.mnist_folder()
    origins = sources.gather_mnist(folder, sources.mnist_sources())
    print(folder)
    for name, origin in origins.items():
        print(f"{name}  {origin}")
    return 0


def _verify(_options: argparse.Namespace) -> int:
    faults = mnist.verify_mnist()
    for name, fault in faults.items():
        print(f"{name}  {fault or 'right'}")
    if not any(faults.values()):
        return 0
    print(f"stn-data: not all files in {mnist.mnist_folder()} are right: stn-data fetch mends them", file=sys.stderr)
    return 1


def _path(_options: argparse.Namespace) -> int:
    print(mnist.mnist_folder())
    return 0


def _preview(options: argparse.Namespace) -> int:
    from stn_bench.cli.preview import distortion_sheet  # brings torch, for which the other commands need not wait

    names = options.sets.split(",")
    distortion_sheet(options.output, names, options.count, options.seed, options.words, options.config_dir)
    print(options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
