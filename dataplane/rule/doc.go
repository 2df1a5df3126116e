// Package rule lists, adds and deletes IPv6 routing policy rules (ip -6 rule;
// net/core/fib_rules.c), each with the protocol that says who made it.
package rule
