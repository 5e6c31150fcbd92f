"""What Prometheus may scrape: what there is (gauges), and what happened (counters, histograms)."""
