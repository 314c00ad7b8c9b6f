"""The immigration pipeline's Spark jobs: arrivals, cities, temperature, airports."""
