// SPDX-License-Identifier: GPL-2.0-only
/*
 * serial: as much of a 16550 as Linux's 8250 driver wants, for console=ttyS0.
 * What the guest sends is on standard output at once, so the transmitter is
 * always empty. Nothing is ever received.
 */
#include <linux/serial_reg.h>
#include <stdio.h>

#include "vramvmm.h"

static bool divisor_latch(const struct serial *s)
{
	return s->lcr & UART_LCR_DLAB;
}

void serial_out(struct serial *s, unsigned int reg, uint8_t value)
{
	switch (reg) {
	case UART_TX:
		if (divisor_latch(s)) {
			s->divisor = (s->divisor & 0xff00) | value;
			break;
		}
		if (!(s->mcr & UART_MCR_LOOP)) {
			putchar(value);
			s->mid_line = value != '\n';
		}
		s->thr_irq = true;
		break;
	case UART_IER:
		if (divisor_latch(s)) {
			s->divisor = (s->divisor & 0xff) | value << 8;
			break;
		}
		/* Switching it on says that the transmitter is empty, once. */
		if (value & ~s->ier & UART_IER_THRI)
			s->thr_irq = true;
		s->ier = value & 0xf;
		break;
	case UART_FCR:
		s->fcr = value;
		break;
	case UART_LCR:
		s->lcr = value;
		break;
	case UART_MCR:
		s->mcr = value & 0x1f;
		break;
	case UART_SCR:
		s->scr = value;
		break;
	}
}

static uint8_t read_iir(struct serial *s)
{
	uint8_t iir = serial_irq(s) ? UART_IIR_THRI : UART_IIR_NO_INT;

	/* Reading it answers the interrupt. */
	s->thr_irq = false;
	return s->fcr & UART_FCR_ENABLE_FIFO ? iir | UART_IIR_FIFO_ENABLED_16550A : iir;
}

/* In loopback, the modem's lines show what the control register says. */
static uint8_t read_msr(const struct serial *s)
{
	if (!(s->mcr & UART_MCR_LOOP))
		return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	return (s->mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) |
	       (s->mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
	       (s->mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) |
	       (s->mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0);
}

uint8_t serial_in(struct serial *s, unsigned int reg)
{
	switch (reg) {
	case UART_RX:
		return divisor_latch(s) ? s->divisor & 0xff : 0;
	case UART_IER:
		return divisor_latch(s) ? s->divisor >> 8 : s->ier;
	case UART_IIR:
		return read_iir(s);
	case UART_LCR:
		return s->lcr;
	case UART_MCR:
		return s->mcr;
	case UART_LSR:
		return UART_LSR_TEMT | UART_LSR_THRE;
	case UART_MSR:
		return read_msr(s);
	default:
		return s->scr;
	}
}

bool serial_irq(const struct serial *s)
{
	return s->thr_irq && (s->ier & UART_IER_THRI);
}

void serial_end(struct serial *s)
{
	if (s->mid_line)
		putchar('\n');
	s->mid_line = false;
}
