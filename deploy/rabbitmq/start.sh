#!/bin/sh
# Fills the services' passwords into the definitions and starts RabbitMQ with them.
# The queues stand there too: only then may a service do without the right to read the other's queue.
set -eu
for name in RABBITMQ_PORTAL_PASSWORD RABBITMQ_SYNC_PASSWORD; do
    eval "value=\${$name:?}"
    case $value in
        *[!A-Za-z0-9_-]*) echo "$name: only letters, digits, _ and - are possible here" >&2; exit 2 ;;
    esac
done
umask 077
folder=$(mktemp -d)
sed -e "s/@RABBITMQ_PORTAL_PASSWORD@/$RABBITMQ_PORTAL_PASSWORD/" -e "s/@RABBITMQ_SYNC_PASSWORD@/$RABBITMQ_SYNC_PASSWORD/" \
    "$(dirname "$0")/definitions.json" > "$folder/definitions.json"
printf 'load_definitions = %s\n' "$folder/definitions.json" > "$folder/rabbitmq.conf"
if [ "$(id -u)" = 0 ]; then chown -R rabbitmq "$folder"; fi
unset RABBITMQ_PORTAL_PASSWORD RABBITMQ_SYNC_PASSWORD
export RABBITMQ_CONFIG_FILE="$folder/rabbitmq.conf"
exec ${RABBITMQ_START:-docker-entrypoint.sh rabbitmq-server}
