"""The simulated marketplace: the only place where the truth is known.

`config.MarketplaceConfig` says how large it is, `run.simulate` lets it live some days.
"""
