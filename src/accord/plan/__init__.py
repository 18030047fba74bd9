"""From a config to a plan: every default resolved and every fault reported, for all commands.

    plan_run(config) -> RunPlan                 (`making`)

`check`, `train`, `resume`, grids and searches take a run's plan, and nothing below sees a config.
What a plan doesn't read of a config makes no difference (`keys`, `unused`).
"""
