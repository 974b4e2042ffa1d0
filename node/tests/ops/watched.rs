//! A real Prometheus and a real Alertmanager watch three real nodes, with the configuration that is shipped.
//!
//! Only times are shorter: rules wait for a sixtieth of what they say (`for`), targets are looked at every second, and who is
//! told is one webhook. Rules that look back over hours are as they are: nothing happens here in hours.
