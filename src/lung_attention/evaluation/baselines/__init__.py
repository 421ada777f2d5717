"""Baselines: simple classifiers that a network has to beat on the same split.

Some are blind, they see nothing of the disease: where one of them comes near a network, the network's figure
says little. Others see the image, but learn almost nothing. `table` names them all; `run` measures them.
"""
