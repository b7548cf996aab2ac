/* test_proc - who a process is, while it starts one program after the other */
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proc.h"
#include "unit.h"

enum { LOOKS = 3000, LOOKS_MS = 1000 };

static char self[] = "/proc/self/exe";

/* A child that runs this program with that argument and environment. */
static pid_t
start(char *argument, char *const env[])
{
	pid_t pid = fork();
	if (pid == 0) {
		char *const argv[] = {self, argument, NULL};
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execve(self, argv, env);
		_exit(1);
	}
	return pid;
}

static void
end(pid_t pid)
{
	CHECK(kill(pid, SIGKILL) == 0);
	CHECK(waitpid(pid, NULL, 0) == pid);
}

/* Whether its program is what was started, and not the copy of this one any more. */
static void
wait_until_it_runs(pid_t pid, const char *argument)
{
	char command[100] = "";
	struct timespec t = {0, 1000000};
	for (int i = 0; i < 10000 && !strstr(command, argument); i++) {
		nanosleep(&t, NULL);
		proc_command(pid, command, sizeof command);
	}
	CHECK(strstr(command, argument) != NULL);
}

static void
variables(void)
{
	char first[] = "ONE=1", second[] = "TWO=22", *const env[] = {first, second, NULL}, argument[] = "waits";
	pid_t pid = start(argument, env);
	wait_until_it_runs(pid, argument);
	CHECK(proc_has_variable(pid, "ONE=1"));
	CHECK(proc_has_variable(pid, "TWO=22"));
	CHECK(proc_has_variable(pid, "TWO="));
	CHECK(!proc_has_variable(pid, "TWO=2"));
	CHECK(!proc_has_variable(pid, "WO=22"));
	CHECK(!proc_has_variable(pid, "THREE="));
	end(pid);
	CHECK(!proc_has_variable(pid, "ONE=1"));
}

static void
an_empty_environment_is_not_waited_for(void)
{
	char *const env[] = {NULL}, argument[] = "waits";
	struct timespec from, to;
	pid_t pid = start(argument, env);
	wait_until_it_runs(pid, argument);
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < 200; i++)
		CHECK(!proc_has_variable(pid, "ONE="));
	clock_gettime(CLOCK_MONOTONIC, &to);
	CHECK(to.tv_sec - from.tv_sec < 30); /* 200 ms for each would be 40 s */
	end(pid);
}

static void
one_that_starts_program_after_program_has_its_environment_at_each_look(void)
{
	char variable[] = "ONE=1", *const env[] = {variable, NULL}, argument[] = "again";
	pid_t pid = start(argument, env);
	int looks = 0, found = 0;
	struct timespec from, now;
	wait_until_it_runs(pid, argument);
	clock_gettime(CLOCK_MONOTONIC, &from);
	/* Of the looks of a second many meet it in an exec(2); of less it may not have had the processor. */
	do {
		found += proc_has_variable(pid, "ONE=1");
		looks++;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (looks < LOOKS || (now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000 < LOOKS_MS);
	CHECK_INT(found, looks);
	end(pid);
}

/* The state as the kernel tells it, which is that of the first thread. */
static char
first_thread(pid_t pid)
{
	char path[40], text[400] = "";
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	FILE *f = fopen(path, "r");
	if (f) {
		(void)!fread(text, 1, sizeof text - 1, f);
		fclose(f);
	}
	char *end = strrchr(text, ')');
	return end && end[1] ? end[2] : '?';
}

static void
it_lives_until_its_last_thread_ends(void)
{
	char variable[] = "ONE=1", *const env[] = {variable, NULL}, argument[] = "threads", command[100];
	struct timespec t = {0, 1000000};
	struct proc p;
	pid_t pid = start(argument, env);
	for (int i = 0; i < 10000 && first_thread(pid) != 'Z'; i++)
		nanosleep(&t, NULL);
	CHECK(first_thread(pid) == 'Z');
	CHECK(proc_look(pid, &p) == 0 && p.state == 'S' && p.parent == getpid());
	CHECK(proc_start(pid) == p.start && p.start > 0);
	CHECK(proc_has_variable(pid, "ONE=1"));
	proc_command(pid, command, sizeof command);
	CHECK(strstr(command, argument) != NULL);
	CHECK(kill(pid, SIGKILL) == 0);
	siginfo_t info;
	CHECK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0);
	CHECK(proc_look(pid, &p) == 0 && p.state == 'Z');
	CHECK_INT(proc_start(pid), -1);
	CHECK(waitpid(pid, NULL, 0) == pid);
	CHECK(proc_look(pid, &p) < 0);
}

static void *
wait_for_ever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void
a_copy_of_its_parent_until_it_executes_something(void)
{
	char *const env[] = {NULL}, argument[] = "waits";
	struct proc p;
	pid_t copy = fork(), pid;
	if (copy == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	CHECK(proc_look(copy, &p) == 0 && p.forked);
	CHECK(proc_look(getpid(), &p) == 0 && !p.forked);
	end(copy);
	pid = start(argument, env);
	wait_until_it_runs(pid, argument);
	CHECK(proc_look(pid, &p) == 0 && !p.forked);
	end(pid);
}

int
main(int argc, char *argv[])
{
	if (argc > 1 && strcmp(argv[1], "again") == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execv(self, argv);
		return 1;
	}
	if (argc > 1 && strcmp(argv[1], "threads") == 0) {
		pthread_t thread;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (pthread_create(&thread, NULL, wait_for_ever, NULL) == 0)
			pthread_exit(NULL);
		return 1;
	}
	if (argc > 1) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	RUN(variables);
	RUN(an_empty_environment_is_not_waited_for);
	RUN(one_that_starts_program_after_program_has_its_environment_at_each_look);
	RUN(it_lives_until_its_last_thread_ends);
	RUN(a_copy_of_its_parent_until_it_executes_something);
	return unit_end();
}
