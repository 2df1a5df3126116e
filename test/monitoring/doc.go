// Package monitoring checks what is given to Prometheus and Grafana (configs/): that
// they understand it, that it names nothing that does not exist, and that each alert
// fires for what it is for. draw makes the picture of the dashboard in docs/.
package monitoring
