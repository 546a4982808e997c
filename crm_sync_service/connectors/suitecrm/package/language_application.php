<?php
$app_list_strings['casebridge_product_list'] = array(
    '' => '',
@@PRODUCTS@@);
