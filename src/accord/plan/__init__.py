"""From a config to a plan: all defaults settled, all that is wrong said, once and for everybody.

    plan_run(config) -> RunPlan                 (`making`)

`check`, `train`, `resume`, grids and searches take a run's plan, and nothing below sees a config.
What a plan doesn't read of a config makes no difference (`keys`, `unused`).
"""
