/* notify: tell systemd, in its protocol (sd_notify(3)), without its library. */
#ifndef DPL_NOTIFY_H
#define DPL_NOTIFY_H

/* Send one assignment, "READY=1", to where NOTIFY_SOCKET says; nothing where that is not set. */
void notify(const char *text);

#endif
