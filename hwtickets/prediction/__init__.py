"""Latency of whole networks, predicted from networks that were measured as a whole."""

from hwtickets.prediction.features import Features
from hwtickets.prediction.fleet import Fleet
from hwtickets.prediction.predictor import WholeNetworkPredictor

__all__ = ["Features", "Fleet", "WholeNetworkPredictor"]
