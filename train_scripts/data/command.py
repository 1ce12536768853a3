"""How a command runs: quietly, and to an end in one line, with exit code 2 and without a traceback, if its user made a mistake."""

import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from eomt.train_scripts.data.process_end import orderly_end

USER_ERRORS = (ValueError, OSError, FloatingPointError, ImportError)
EXIT_CODE = 2
DEBUG = "--debug"
RECENT = 60.0  # seconds, in which the processes of one run end after each other


def command(main: Callable[[list[str]], None]) -> Callable[..., None]:
    """Wraps the function of a command, which gets the words after the command's name.

    An error of the user's ends the process with exit code 2 and `error: ...` on stderr; `--debug` lets the traceback through. Of
    several processes on a machine the first one to fail prints, and those that lose their connection by it say nothing. Ctrl-C ends
    it in one line, too, with exit code 130. Where the words are this process's, the bars and warnings of other libraries are kept
    off the screen.
    """

    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> None:
        words, debug = without_debug(sys.argv[1:] if argv is None else argv)
        try:
            with orderly_end():
                if argv is None:  # else a program calls it, whose screen this is not
                    from eomt.train_scripts.data.quiet import quiet_libraries  # which loads them

                    quiet_libraries()
                main(words)
        except subprocess.CalledProcessError as error:  # it has said why
            if debug:
                raise
            sys.exit(error.returncode)
        except Exception as error:
            if debug or not _is_users(error) and not (isinstance(error, RuntimeError) and _follows_another()):
                raise
            _end(error)

    return run


def without_debug(words: Sequence[str]) -> tuple[list[str], bool]:
    """The words without `--debug`, and whether it was there. With a value it is an option of transformers' TrainingArguments."""
    followers = [*words, "--"][1:]
    kept = [word for word, follower in zip(words, followers, strict=True) if word != DEBUG or not follower.startswith("--")]
    return kept, len(kept) < len(words)


def error_line(error: BaseException) -> str:
    """One line that says what is wrong."""
    if _is_of_a_configuration(error) and error.__cause__ is not None:
        error = error.__cause__  # it says the same, without the names of validators
    text = str(error)
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
    return "error: " + " ".join(" ".join([text or type(error).__name__, *getattr(error, "__notes__", ())]).split())


def _is_users(error: BaseException) -> bool:
    return isinstance(error, USER_ERRORS) or _is_of_a_configuration(error)


def _is_of_a_configuration(error: BaseException) -> bool:
    from huggingface_hub.errors import StrictDataclassError  # late: a command that goes well may not need the Hub's client

    return isinstance(error, StrictDataclassError)


def _end(error: BaseException) -> None:
    if not _in_several() or _is_first():
        print(error_line(error), file=sys.stderr, flush=True)
    if not _in_several():
        sys.exit(EXIT_CODE)
    sys.stdout.flush()
    os._exit(EXIT_CODE)  # threads of the process group may abort the process at an orderly end, or wait for the others


def _in_several() -> bool:
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def _is_first() -> bool:
    """Whether no other process of this run has printed an error."""
    try:
        _mark().touch(exist_ok=False)
    except FileExistsError:
        if _follows_another():
            return False
        _mark().touch()  # of an earlier run
    return True


def _follows_another() -> bool:
    """Whether another process of this run has ended with an error just now."""
    return _in_several() and _mark().exists() and time.time() - _mark().stat().st_mtime < RECENT


def _mark() -> Path:
    """A file that the processes of one run have in common: they have one parent, or at least one address."""
    names = ("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID")
    run = "-".join(os.environ.get(name, "") for name in names).replace(os.sep, "_")
    return Path(tempfile.gettempdir()) / f"eomt-error-{os.getppid()}-{run}"
