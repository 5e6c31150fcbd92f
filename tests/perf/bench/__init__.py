"""The benchmark: floor, operator and peers on one real control plane, in one run."""
