package config

//go:generate go run ./internal/gensample ../../configs/ndp_proxy_agent.ini ../../docs/options.md ../../docs/man/ndp_proxy_agent.ini.5
