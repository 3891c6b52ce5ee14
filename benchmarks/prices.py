"""What the price of the search is worth: MACs, latency by slope, by slope and existence, and the exact draw.

All keep the same measured budget. By MACs and with a threshold, channels are kept whose importance by price
is above one threshold for the whole network; the exact draw solves a knapsack at each shrink. The last draw,
which meets the budget, is exact for all.

python -m benchmarks.prices --seeds 0,1,2 --latency 40% --output results/prices.jsonl
"""

from __future__ import annotations

from benchmarks import common, variants

VARIANTS = {
    "MACs": {"price": "macs", "shrink_by": "threshold", "unit_price": "slope"},
    "latency slope": {"price": "latency", "shrink_by": "threshold", "unit_price": "slope"},
    "slope + existence": {"price": "latency", "shrink_by": "threshold"},
    "knapsack at each shrink": {"price": "latency"},
}


def main() -> None:
    """Searches by every price and prints the comparison."""
    parser = common.search_parser(__doc__, "prices")
    parser.add_argument("--latency", default="40%", metavar="BUDGET", help="default: 40%%")
    options = parser.parse_args()
    title = f"Prices of the search at {options.latency} latency"
    variants.compare(options, "prices", VARIANTS, "latency", options.latency, title)


if __name__ == "__main__":
    common.run(main)
