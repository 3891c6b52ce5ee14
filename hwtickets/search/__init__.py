"""From a trained supernet to a measured ticket: strategies, schedules, the closed loop."""
