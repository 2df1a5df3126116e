package lab

import (
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Unbind removes a binding of a queue: its consumer hears no more of what is sent there.
func Unbind(queue, exchange, key string) error {
	conn, err := amqp.Dial(AMQPURL)
	if err != nil {
		return fmt.Errorf("unbind %s from %s: %w", queue, exchange, err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("unbind %s from %s: %w", queue, exchange, err)
	}
	if err := ch.QueueUnbind(queue, key, exchange, nil); err != nil {
		return fmt.Errorf("unbind %s from %s: %w", queue, exchange, err)
	}
	return nil
}
