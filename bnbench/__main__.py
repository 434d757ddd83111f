"""The command line: `python -m bnbench [verb | overrides]`."""

from __future__ import annotations

import atexit
import os
import sys

from bnbench import __version__
from bnbench.cli import VERBS, run_verb

_FIRST = """bnbench: what does normalization do to this network?

  python -m bnbench                       train one trial and print its result
  python -m bnbench +sweep=placement      run a sweep; `list` names them
  python -m bnbench KEY=VALUE …           set any key; KEY=A,B,C sweeps it
  python -m bnbench COMMAND …             one of these; COMMAND --help says more:
"""
_LAST = """
keys worth knowing:
  model=fc|cnn|…  norm=none|batch|layer|…  norm.placement=before|after  data=mnist_5k|digits|mnist|cifar10|…
  optimizer=sgd|momentum|adam|…  optimizer.lr=…  training.batch_size=…  training.steps=…  seed=range(10)
  plan_only=true   say what would be trained, and stop
  runs_dir=…       where everything is written (default: runs)

  --cfg job        print the configuration and stop
  --config-dir D   also look for configuration files (sweeps of your own, say) in D
  --version        print bnbench's version
  --hydra-help     Hydra's other flags
"""


def main() -> None:
    """Run what the command line asks for; exits as `errors.exit_status` says."""
    arguments = sys.argv[1:]
    if arguments[:1] in (["--help"], ["-h"], ["help"]):
        print(_FIRST + "".join(f"    {verb:<10} {what}\n" for verb, what in VERBS.items()) + _LAST, end="")
        sys.exit(0)
    if arguments == ["--version"]:
        print(f"bnbench {__version__}")
        sys.exit(0)
    from bnbench.sweep.error_lines import INTERRUPTED, exit_status

    status = exit_status(lambda: _run(arguments))
    if status in INTERRUPTED:  # at once: Python takes seconds to take torch and MLflow down
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(status)
    sys.exit(status)


def _run(arguments: list[str]) -> None:
    if arguments and arguments[0] in VERBS:
        run_verb(arguments[0], arguments[1:])
        return
    # Hydra would catch exceptions and print its own several lines; ours are one.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    import hydra
    from hydra._internal.utils import get_args_parser
    from hydra.errors import ConfigCompositionException

    from bnbench.config.folder import conf_dir
    from bnbench.sweep.hydra_app import register, task
    from bnbench.sweep.planning.words import check_words

    check_words(get_args_parser().parse_args(arguments).overrides, verbs=VERBS, conf_dirs=[conf_dir()])
    register()
    application = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(task)
    try:
        application()
    except ConfigCompositionException as error:
        if "--multirun" not in str(error):
            raise
        # Hydra asks for it where a mistake kept it from reading hydra.mode; with it, it names the mistake.
        sys.argv.append("--multirun")
        application()


if __name__ == "__main__":
    main()
