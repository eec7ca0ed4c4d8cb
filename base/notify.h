/* Messages to the service manager, by systemd's sd_notify(3) protocol: a datagram to the socket
 * named by $NOTIFY_SOCKET. Spoken directly, so that small daemons need not link libsystemd. */
#ifndef AF_BASE_NOTIFY_H
#define AF_BASE_NOTIFY_H

/* state: "READY=1", "STOPPING=1", "STATUS=…". Best effort: without a manager, or when it does not
 * listen, nothing happens. Never blocks. */
void notify_manager(const char *state);

#endif
