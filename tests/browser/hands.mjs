// Two ways to use a page, as people do: with a mouse, and with the keyboard alone. Both find things by what a reader of the
// screen is told: role and name.

import assert from 'node:assert/strict';

const TABS_MAX = 120;

function labelled(page, label, group) {
  const within = group === undefined ? page : page.getByRole('group', { name: group, exact: true });
  return within.getByLabel(label, { exact: true });
}

/** Points and clicks. */
export class Mouse {
  constructor(page) {
    this.page = page;
    this.title = 'with the mouse';
  }

  /** Follows a link, or presses a button. */
  async activate(role, name) {
    await this.page.getByRole(role, { name, exact: true }).click();
  }

  /** Types a text in place of what a field holds. */
  async type(label, text) {
    await this.page.getByLabel(label, { exact: true }).fill(text);
  }

  /** Chooses an option of a select by its text. */
  async choose(label, option) {
    await this.page.getByLabel(label, { exact: true }).selectOption({ label: option });
  }

  /** Ticks a box, or chooses one of several; `group` is the title around it. */
  async check(label, group) {
    await labelled(this.page, label, group).check();
  }
}

/** Only presses keys: Tab to get about, Enter, Space and arrows to act. */
export class Keyboard {
  constructor(page) {
    this.page = page;
    this.title = 'with the keyboard alone';
  }

  /** Presses Tab until this element has the focus. */
  async tabTo(locator) {
    await locator.waitFor();
    for (let tabs = 0; tabs < TABS_MAX; tabs += 1) {
      if (await locator.evaluate((element) => element === document.activeElement)) return;
      await this.page.keyboard.press('Tab');
    }
    assert.fail(`${locator} is not reached by Tab`);
  }

  async activate(role, name) {
    await this.tabTo(this.page.getByRole(role, { name, exact: true }));
    await this.page.keyboard.press('Enter');
  }

  async type(label, text) {
    await this.tabTo(this.page.getByLabel(label, { exact: true }));
    await this.page.keyboard.press('Control+A');
    await this.page.keyboard.press('Delete');
    await this.page.keyboard.type(text);
  }

  async choose(label, option) {
    const select = this.page.getByLabel(label, { exact: true });
    await this.tabTo(select);
    await this.page.keyboard.type(option);
    const chosen = await select.evaluate((element) => element.selectedOptions[0].textContent.trim());
    assert.equal(chosen, option, `chosen in ${label} by typing`);
  }

  async check(label, group) {
    const box = labelled(this.page, label, group);
    await box.waitFor();
    if (await box.isChecked()) return;
    const type = await box.evaluate((element) => element.type);
    if (type === 'radio') {
      // Of radio buttons Tab reaches the chosen one alone; arrows go on from it.
      const group = await box.evaluate((element) => element.name);
      await this.tabTo(this.page.locator(`input[type=radio][name="${group}"]:checked`));
      for (let presses = 0; presses < 10 && !(await box.isChecked()); presses += 1) await this.page.keyboard.press('ArrowDown');
    } else {
      await this.tabTo(box);
      await this.page.keyboard.press('Space');
    }
    assert.ok(await box.isChecked(), `${label} is ticked`);
  }
}
