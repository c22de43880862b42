/* `lease ssh ROLE -- PROGRAM`, or `lease ssh ROLE --agent PATH`.
 *
 * Happy path: the certificate is leased, bound to this process, which becomes an agent → the
 * program runs with SSH_AUTH_SOCK → requests are answered and signals passed on until it ends, or,
 * without a program, until a signal ends us → the grant is ended, which revokes the certificate,
 * and the socket goes. Failures: no certificate → nothing runs, and the exit code says why; this
 * process is killed → the daemon ends the grant, and a socket that answers nobody is left. */
#include "cli/ssh.h"

#include "cli/credential.h"
#include "cli/exec_internal.h"
#include "cli/ssh_socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

struct ssh {
    struct cli *cli;
    struct ssh_keyring keyring;
    struct ssh_socket socket;
    sigset_t signals;
    int signal_fd;
    pid_t program; /* 0: none */
    bool is_over;
    int exit_code;
};

/* --- the program --- */

static void become(struct ssh *ssh)
{
    char *const *words = ssh->cli->options.program;
    int cause = ENOMEM;

    if (setenv("SSH_AUTH_SOCK", ssh->socket.path, 1) == 0 && unsetenv("SSH_AGENT_PID") == 0) {
        process_restore(&ssh->cli->process);
        (void)execvp(words[0], words);
        cause = errno;
    }
    cli_message(ssh->cli, "could not run %s: %s", words[0], err_str(-cause));
    _exit(cause == ENOENT ? CLI_EXEC_NOT_FOUND : CLI_EXEC_NOT_RUN);
}

static int start(struct ssh *ssh)
{
    pid_t pid = fork();

    if (pid == 0) {
        become(ssh);
    }
    if (pid < 0) {
        cli_message(ssh->cli, "could not start a process: %s", err_str(-errno));
        return CLI_FAILED;
    }
    ssh->program = pid;
    return CLI_OK;
}

static void reap(struct ssh *ssh)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
        if (pid != ssh->program) {
            continue;
        }
        if (WIFSTOPPED(status)) {
            exec_stop_self(WSTOPSIG(status) == SIGSTOP ? SIGTSTP : WSTOPSIG(status));
            (void)kill(pid, SIGCONT);
        } else {
            ssh->is_over = true;
            ssh->exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        }
    }
}

static bool is_end(int number)
{
    return number == SIGTERM || number == SIGINT || number == SIGHUP || number == SIGQUIT;
}

static void take_signals(struct ssh *ssh)
{
    struct signalfd_siginfo info;

    while (read(ssh->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        const struct exec_signal signal = {.number = (int)info.ssi_signo,
                                           .code = info.ssi_code,
                                           .sender = (pid_t)info.ssi_pid};

        if (signal.number == SIGCHLD) {
            reap(ssh);
        } else if (ssh->program > 0) {
            exec_forward(&signal, ssh->program);
        } else if (is_end(signal.number)) {
            ssh->is_over = true;
        }
    }
}

/* --- the agent --- */

static void serve(struct ssh *ssh)
{
    struct pollfd polls[1 + SSH_SOCKET_POLLS];

    while (!ssh->is_over) {
        polls[0] = (struct pollfd){.fd = ssh->signal_fd, .events = POLLIN};
        ssh_socket_poll(&ssh->socket, polls + 1);
        if (poll(polls, ARRAY_LEN(polls), -1) > 0) {
            ssh_socket_serve(&ssh->socket, polls + 1, &ssh->keyring);
            take_signals(ssh);
        }
    }
}

/* As ssh-agent does it, for eval. */
static int announce(struct ssh *ssh)
{
    buf_printf(&ssh->cli->out, "SSH_AUTH_SOCK=%s; export SSH_AUTH_SOCK;\n", ssh->socket.path);
    return cli_flush(ssh->cli);
}

static int work(struct ssh *ssh)
{
    int exit_code = ssh->cli->options.program != NULL ? start(ssh) : announce(ssh);

    if (exit_code == CLI_OK) {
        serve(ssh);
        exit_code = ssh->exit_code;
    }
    return exit_code;
}

static int run(struct ssh *ssh, const char *path)
{
    struct err e = {0};
    int exit_code = ssh_keyring_open(&ssh->keyring, ssh->cli, ssh->cli->options.args[0]);

    if (exit_code == CLI_OK) {
        if (ssh_socket_open(&ssh->socket, path, &e) == 0) {
            exit_code = work(ssh);
        } else {
            cli_message(ssh->cli, "%s", e.text);
            exit_code = CLI_FAILED;
        }
        ssh_socket_close(&ssh->socket);
    }
    ssh_keyring_close(&ssh->keyring);
    return exit_code;
}

/* Absolute, and of characters that no shell takes for anything else: it is printed for eval. */
static bool path_is_fine(const char *path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "/._-+@%=:,";

    return path[0] == '/' && strspn(path, plain) == strlen(path);
}

int ssh_run(struct cli *cli)
{
    const char *path = options_get(&cli->options, OPTION_AGENT);
    bool has_program = cli->options.program != NULL && cli->options.program[0] != NULL;
    struct ssh ssh = {.cli = cli};
    int exit_code = credential_check_options(cli);

    if (exit_code != CLI_OK) {
        return exit_code;
    }
    if (has_program == (path != NULL)) {
        return cli_usage_error(cli, "give a program behind --, or --agent PATH to go on without");
    }
    if (path != NULL && !path_is_fine(path)) {
        return cli_usage_error(cli, "--agent: expected an absolute path without blanks and quotes");
    }
    exec_signals_fill(&ssh.signals);
    (void)sigprocmask(SIG_BLOCK, &ssh.signals, NULL);
    ssh.signal_fd = signalfd(-1, &ssh.signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (ssh.signal_fd >= 0) {
        exit_code = run(&ssh, path);
        (void)close(ssh.signal_fd);
    } else {
        cli_message(cli, "could not wait for signals: %s", err_str(-errno));
        exit_code = CLI_FAILED;
    }
    (void)sigprocmask(SIG_SETMASK, &cli->process.mask, NULL);
    return exit_code;
}
