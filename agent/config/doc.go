// Package config reads the operator's own oslo.config files (neutron.conf,
// l3_agent.ini) together with the daemon's ndp_proxy_agent.ini and returns one
// validated Config.
//
// Files are read as oslo.config reads them: the same file syntax, the same
// precedence (later file wins, the environment wins over files), the same
// `$name` substitution, the same spelling of booleans and lists. What differs
// is deliberate and listed here:
//
//   - every complaint names file and line, and all complaints are reported
//     together instead of one per start;
//   - an option in [ndp_proxy] that does not exist is an error, because there
//     the file is ours and a typing error must not go unnoticed. Everywhere
//     else unknown options are somebody else's and are left alone;
//   - transport_url must be given when the addresses come from Neutron; oslo
//     would fall back to guest@localhost, which on a compute node is never
//     what was meant;
//   - the hosts of transport_url all have credentials of their own, or none has:
//     others are the pieces of a password with a comma in it;
//   - TLS always verifies the broker: see [Rabbit.TLSConfig].
//
// The options of [ndp_proxy] are one table (see [Options]); the parser, the
// sample file (see [GenerateSample]) and the reference are all made from it.
package config
