//! Record batch v2, viewed in place.
