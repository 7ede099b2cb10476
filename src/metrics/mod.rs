//! Counters, histograms and the named stages of a request.
