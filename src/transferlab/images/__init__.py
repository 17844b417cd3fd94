"""Where pixels come from: sources, careful decoding, splits, and packs that are written once and mapped."""
