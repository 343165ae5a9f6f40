"""What is searched and what was found: sweeps of trials, studies that survive, reports.

sweep = sweeps.Sweep.from_file("sweep.yaml")          # or Sweep.from_data({...}) in a notebook
study = sweeps.run(sweep, "runs/mine", without_ray=True)
study.best, study.trials_dataframe(), study.plot_front(), study.network()
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
