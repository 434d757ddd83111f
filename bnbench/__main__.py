"""The command line: `python -m bnbench [verb | overrides]`."""

from __future__ import annotations

import atexit
import os
import sys

from bnbench.verbs import VERBS, run_verb

__all__ = ["main"]

_HELP = """bnbench: what does normalization do to this network?

  python -m bnbench                       train one trial and print its result
  python -m bnbench +sweep=placement      run a sweep; `list` names them
  python -m bnbench KEY=VALUE …           set any key; KEY=A,B,C sweeps it
  python -m bnbench list                  sweeps, models, norms, data sets
  python -m bnbench explain [KEY=VALUE …] a trial's layers, shapes and parameters; normalization worked by hand
  python -m bnbench claims [CLAIM …] [--run quick|full]
                                          what batch norm is said to do and what the data say; with a name, the evidence
  python -m bnbench report [SWEEP] [--format html,md,tex,csv]
                                          write a sweep's report again (default: latest, in every format);
                                          --against SWEEP [--against-store RUNS_DIR|URI] compares it with another
  python -m bnbench verify [SWEEP] [--sample N|all]
                                          train some of a sweep's trials again, each alone, and compare every digit
  python -m bnbench reproduce [manifest.json|SWEEP] [--sample N|all] [--into FOLDER]
                                          train a sweep anew from its record, into a folder of its own, and compare
  python -m bnbench time [+sweep=NAME] [--rounds N]
                                          seconds a step of each arm's trial alone, in turns: for claims on time
  python -m bnbench status [SWEEP]        how many of a sweep's trials are done, running, failed and to do
  python -m bnbench sync                  record what was trained while the tracking store was away
  python -m bnbench bench [--quick]       time bnbench on this machine beside the usual way; --help says more
  python -m bnbench ui [SWEEP] [--open] [--port N]
                                          serve the MLflow UI on this machine, and say where a sweep's charts are

keys worth knowing:
  model=fc|cnn  norm=none|batch|layer|…  norm.placement=before|after  data=mnist_5k|digits|mnist|fashion_mnist|cifar10
  optimizer=sgd|momentum|adam|adamw  optimizer.lr=…  training.batch_size=…  training.steps=…  seed=range(10)
  plan_only=true   say what would be trained, and stop
  runs_dir=…       where everything is written (default: runs)

  --cfg job        print the configuration and stop
  --config-dir D   also look for configuration files (sweeps of your own, say) in D
  --hydra-help     Hydra's other flags
"""


def main() -> None:
    """Run what the command line asks for; exits as `errors.exit_status` says."""
    arguments = sys.argv[1:]
    if arguments[:1] in (["--help"], ["-h"], ["help"]):
        print(_HELP, end="")
        return
    from bnbench.errors import INTERRUPTED, exit_status

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

    from bnbench.app import register, task
    from bnbench.confdir import conf_dir

    register()
    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(task)()


if __name__ == "__main__":
    main()
