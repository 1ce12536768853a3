"""Prints parameters and GFLOPs of the paper's architectures, counted here, beside the paper's: python benchmarks/model_sizes.py"""

from eomt.model_cards.architectures import measure_size, published, published_names


def main() -> None:
    print(f"{'':8}{'input':>7}{'queries':>9}{'classes':>9}  {'masked':8}{'M params':>10}{'paper':>8}{'GFLOPs':>10}{'paper':>8}")
    for name in published_names():
        for result in published(name)["results"]:
            size, queries, classes, masked = (result[key] for key in ("size", "queries", "classes", "masked"))
            params, flops = measure_size(name, size, queries, classes, masked)
            sizes = f"{name:8}{size:7}{queries:9}{classes:9}  {'yes' if masked else 'no':8}"
            print(f"{sizes}{params:10.2f}{result.get('params', ''):>8}{flops:10.2f}{result.get('gflops', ''):>8}")


if __name__ == "__main__":
    main()
