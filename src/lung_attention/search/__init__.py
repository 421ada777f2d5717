"""Nested search for the settings of a head. Nothing else imports Optuna."""
